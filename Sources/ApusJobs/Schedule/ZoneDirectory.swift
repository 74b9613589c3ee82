import FoundationEssentials

/// The directories that may hold the compiled time zone files of the system.
struct ZoneDirectory: Sendable {
    let paths: [String]

    /// The directory of the environment variable `TZDIR` or else the usual ones.
    static var system: ZoneDirectory {
        let path = ProcessInfo.processInfo.environment["TZDIR"] ?? ""
        let usualPaths = ["/usr/share/zoneinfo", "/usr/lib/zoneinfo", "/usr/share/lib/zoneinfo"]
        return ZoneDirectory(paths: path.isEmpty ? usualPaths : [path])
    }

    /// Reads the rules of a time zone. Those of `UTC`, `Etc/UTC` and `GMT` need no file.
    func rules(named name: String) throws(ZoneError) -> ZoneRules {
        guard Self.isZoneName(name) else { throw .malformedName(name) }
        guard !["UTC", "Etc/UTC", "GMT"].contains(name) else { return .utc }
        let path = try path(ofZone: name)
        guard let bytes = try? Data(contentsOf: URL(filePath: path)) else { throw .unreadable(name, path: path) }
        do {
            return try ZoneRules(tzif: Array(bytes))
        } catch {
            throw .malformedFile(name, path: path, error)
        }
    }

    private func path(ofZone name: String) throws(ZoneError) -> String {
        let directories = paths.filter(Self.isDirectory)
        guard !directories.isEmpty else { throw .notInstalled(name, searched: paths) }
        guard let path = directories.lazy.map({ "\($0)/\(name)" }).first(where: Self.isFile) else {
            throw .unknown(name, searched: directories)
        }
        return path
    }

    /// Whether a name has only letters, digits and `_+-`, in components that are separated by slashes.
    ///
    /// With neither dots nor empty components, a path cannot lead out of the directory.
    private static func isZoneName(_ name: String) -> Bool {
        guard name.utf8.count <= 100 else { return false }
        return name.utf8.split(separator: UInt8(ascii: "/"), omittingEmptySubsequences: false).allSatisfy {
            !$0.isEmpty && $0.allSatisfy(isNameByte)
        }
    }

    private static func isNameByte(_ byte: UInt8) -> Bool {
        switch byte {
        case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
            UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "_"), UInt8(ascii: "+"), UInt8(ascii: "-"):
            true
        default: false
        }
    }

    private static func isDirectory(_ path: String) -> Bool {
        var isDirectory = false
        return FileManager.default.fileExists(atPath: path, isDirectory: &isDirectory) && isDirectory
    }

    private static func isFile(_ path: String) -> Bool {
        var isDirectory = false
        return FileManager.default.fileExists(atPath: path, isDirectory: &isDirectory) && !isDirectory
    }
}

/// Why the rules of a time zone cannot be read.
enum ZoneError: Error, Equatable, CustomStringConvertible {
    case malformedName(String)
    case notInstalled(String, searched: [String])
    case unknown(String, searched: [String])
    case unreadable(String, path: String)
    case malformedFile(String, path: String, TZifError)

    var description: String {
        switch self {
        case .malformedName(let name):
            "The time zone \"\(name.prefix(100))\" is not a name such as \"Europe/Berlin\": at most 100 letters, "
                + "digits, \"_\", \"+\" and \"-\", in parts separated by \"/\"."
        case .notInstalled(let name, let paths):
            "The time zone \"\(name)\" cannot be read: there is no directory \(Self.list(paths)). Install the package "
                + "tzdata, or set TZDIR to the directory of the time zone files."
        case .unknown(let name, let paths):
            "The time zone \"\(name)\" is unknown: it is not in \(Self.list(paths)). Names are case-sensitive, such as "
                + "\"Europe/Berlin\"; some are in the package tzdata-legacy."
        case .unreadable(let name, let path):
            "The file of the time zone \"\(name)\", \(path), cannot be read. Check its permissions."
        case .malformedFile(let name, let path, let error):
            "The file of the time zone \"\(name)\", \(path), is not valid: \(error)."
        }
    }

    private static func list(_ paths: [String]) -> String {
        paths.joined(separator: " or ")
    }
}
