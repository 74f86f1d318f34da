"""How numbers are said, for page, terminal and comparison alike: measures, reasons, sentences, estimates in rows."""
