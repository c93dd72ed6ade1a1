"""Everything that knows Postgres: migrations, named statements, pools."""
