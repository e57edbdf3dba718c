"""The service over real sockets: a real uvicorn in this process, a real SQLite file."""
