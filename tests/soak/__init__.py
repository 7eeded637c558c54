"""Viewers come and go: does anything grow?"""
