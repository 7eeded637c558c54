"""The responder who carries a unit: calls for help, motion, check-in, zones, what protects them."""
