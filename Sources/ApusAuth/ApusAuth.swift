// ApusAuth
