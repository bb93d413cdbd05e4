"""What our own endpoints take and answer, as OpenAPI 3.1 has it: one subject a file."""
