"""How a study is written down: its files, the fields that they may have, and what is said of a wrong one."""
