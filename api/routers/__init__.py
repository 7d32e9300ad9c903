"""The routes, one file a group. Each is a function that takes what its routes need and gives a router; nothing is global."""
