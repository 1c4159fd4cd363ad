/* base/text.h - text for records, whose strings are UTF-8: else the whole record is refused. */
#pragma once

/* What is none becomes '?': a foreign name may be any bytes, and a text that was cut to a size ends perhaps within a character. */
void text_clean(char *text);
