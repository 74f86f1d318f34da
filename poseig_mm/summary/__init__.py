"""How numbers are said: measures, reason codes and sentences, for page, terminal and comparison alike."""
