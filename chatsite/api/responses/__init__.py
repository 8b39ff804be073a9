"""OpenAI's Responses: what is asked, what went before, and the events of the answer."""
