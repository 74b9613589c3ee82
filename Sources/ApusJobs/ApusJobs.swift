// ApusJobs
