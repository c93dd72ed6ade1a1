"""What the product decides; knows neither HTTP nor GraphQL."""
