"""The sections of a page, a file each: every module of this package is imported when a page is made."""
