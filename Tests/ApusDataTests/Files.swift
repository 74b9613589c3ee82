import Foundation

func removeFile(_ path: String) { try? FileManager.default.removeItem(atPath: path) }
