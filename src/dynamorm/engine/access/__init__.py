"""What a session may do: its policy, and what a request asks for."""
