"""The way of encoded pictures to one viewer: RTP, feedback, an estimate of the link, pacing."""
