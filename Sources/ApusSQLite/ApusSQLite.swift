// ApusSQLite
