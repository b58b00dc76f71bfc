"""What the sandbox answers over sockets: realtime, transcription, translation, live and responses sessions."""
