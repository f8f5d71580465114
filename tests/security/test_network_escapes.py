"""The attempts to escape once more, from cells that were granted the network: it opens what it says, and nothing else.

What the attempts are, and how they are judged, lives beside this.
"""

import test_escapes

# Connections and datagrams to the machine's own interface, names, and waiting for several connections at once.
OPEN = """
connect send_a_datagram fetch_an_address speak_a_protocol connect_in_a_loop look_a_name_up wait_for_events
""".split()


class Network(test_escapes.Escapes):
    granted, open = ("network",), frozenset(OPEN)


class Ports(test_escapes.Escapes):
    # Nobody serves there: what the world serves stays out of reach.
    granted, open = ("network:9",), frozenset({"look_a_name_up"})
    fewest, theme = 20, "network"


if __name__ == "__main__":
    test_escapes.other_user.run_both(__file__)
