// ApusRateLimit
