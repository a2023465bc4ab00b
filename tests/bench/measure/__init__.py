# SPDX-License-Identifier: GPL-2.0-only
"""What `make bench` measures: one module a subject, listed in every.py; figures.py and scene.py are
what they share. A benchmark is a generator of Figures; a module's BENCHES lists its own as
(name, seconds it may take, function)."""
