"""Files to nouns and nouns to files; every final file is written whole or not at all."""
