"""The coordinator's face: REST for users, WebSockets for agents and monitors."""
