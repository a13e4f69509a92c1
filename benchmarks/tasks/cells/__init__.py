"""The cells task: populations left out, predicted and scored."""
