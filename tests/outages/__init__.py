"""What a running installation does when the database, Redis or the broker is away, and how it comes back by itself."""
