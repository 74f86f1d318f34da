"""How numbers and maps are shown, for studies and report alike: one look for figures, marks on images."""
