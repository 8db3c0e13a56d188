"""Pictures: colour maps, figures, and the one HTML report builder."""
