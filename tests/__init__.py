"""The tests: they mirror app/, and go through HTTP wherever there is a route."""
