"""What time and cheap machines do to photographs: to their tone, surface, emulsion, film, and in a second scan."""
