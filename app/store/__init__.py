"""Where the log and the guard rows are kept: in SQLite or in PostgreSQL."""
