"""Programs in a guest: the protocol of the agent, sessions, and the machines that run now."""
