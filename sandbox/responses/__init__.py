"""How the Responses API reads its input, makes its items and events, and remembers them."""
