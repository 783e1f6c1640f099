"""One way each from the API to DuckDB tables. Called as: python RUNNER URL KIND COUNT FOLDER."""
