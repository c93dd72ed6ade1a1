"""The door for clients of the services that podium takes over: their exact URLs and bodies."""
