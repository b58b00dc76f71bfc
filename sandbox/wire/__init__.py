"""HTTP, server-sent events and WebSockets: requests, answers, routes and their delivery."""
