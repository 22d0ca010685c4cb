#pragma once

/* In the environment of a program that private-file.c is loaded into: the path of the file. */
#define PRIVATE_FILE_VARIABLE "VCRT_PRIVATE_FILE"
