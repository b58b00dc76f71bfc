"""Images, audio, videos and documents that a call names by their public URL, fetched for providers that take bytes."""
