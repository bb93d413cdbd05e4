"""How what is asked in Anthropic's or the Responses API is said as a chat, and answered."""
