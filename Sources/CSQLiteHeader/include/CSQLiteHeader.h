// Nothing to call. See check.c.
#pragma once
