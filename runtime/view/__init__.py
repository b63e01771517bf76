"""The supervision tree in the terminal.

The view is a process of its own that asks the daemon over its socket, so that the daemon's loop
never pays for drawing. `snapshot` reads what the daemon answers, `render` turns it into lines of
styled text (a pure function), `session` holds what the person at the keys has chosen, `keyboard`
reads the keys and `live` puts the four together with rich. All but `live` need only the standard
library.
"""
