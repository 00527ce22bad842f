"""The sections of a page, one file each: `registered_sections` imports all modules of this package."""
