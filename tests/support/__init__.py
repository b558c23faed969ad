"""What several suites share: both faces behind one way of calling, and the engine under test."""
