import ApusCore
import HTTPTypes

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#else
    import Darwin
#endif

extension Routes {
    /// Serves the files of a directory and its subdirectories as ``FileResponse``s. A request for a directory is answered with
    /// its `index.html`.
    ///
    /// Names that begin with a dot are not served, and symbolic links that lead out of the directory are not followed.
    ///
    /// ```swift
    /// routes.files("assets", from: "public", cacheControl: "public, max-age=31536000, immutable")
    /// ```
    /// - Parameters:
    ///   - path: The path prefix of the routes.
    ///   - folder: The path of the directory.
    public func files(
        _ path: String, from folder: String, cacheControl: String = "no-cache", file: String = #fileID,
        line: Int = #line
    ) {
        let count = fullPath(path).split(at: "/").count
        let folder = FileDirectory(folder)
        let handler: Handler = { request in
            let segments = request.path.split(at: "/").dropFirst(count)
            return try await folder.file(segments, cacheControl).response(to: request)
        }
        for pattern in [path, path.isEmpty ? "**" : "\(path)/**"] {
            add(.get, pattern, file: file, line: line, handler: handler).describe {
                FileResponse.describe(&$0)
                $0.isHidden = true
            }
        }
    }
}

/// A directory whose files are served.
private struct FileDirectory: Sendable {
    private let path: String

    init(_ path: String) { self.path = path }

    func file(_ segments: some Sequence<Substring>, _ cacheControl: String) async throws -> FileResponse {
        let names = try segments.map(Self.name)
        let (root, target) = try await OpenFile.onPool { try resolve(names) }
        return try await FileResponse(named: target.last ?? "", cacheControl: cacheControl) {
            // The resolved names are those of no symbolic links. Opening them one by one ensures that this is still so.
            try await .forReading(target, below: root)
        }
    }

    /// Resolves a file inside of the directory. This call blocks.
    /// - Returns: The path of the directory, and the names that lead from there to the file, without symbolic links.
    private func resolve(_ names: [String]) throws -> (root: String, names: [String]) {
        let path = ([path] + names).joined(separator: "/")
        guard let root = Self.realPath(self.path), var target = Self.realPath(path) else { throw Self.notFound }
        if isDirectory(target) { target += "/index.html" }
        let prefix = root == "/" ? root : root + "/"
        guard let resolved = Self.realPath(target), resolved.starts(withBytesOf: prefix) else { throw Self.notFound }
        return (root, Substring(resolved.utf8.dropFirst(prefix.utf8.count)).split(at: "/").map(String.init))
    }

    private static var notFound: AppError { AppError(.notFound, "File not found.") }

    /// Decodes a path segment and checks that it is a plain file name.
    private static func name(_ segment: Substring) throws -> String {
        guard let name = PercentEncoding.decode(segment), !name.isEmpty, !name.starts(withBytesOf: "."),
            !name.utf8.contains(where: { $0 == UInt8(ascii: "/") || $0 == 0 || $0 == UInt8(ascii: "\\") })
        else { throw notFound }
        return name
    }

    /// Returns the path with all symbolic links resolved; `nil` if it does not exist.
    private static func realPath(_ path: String) -> String? {
        guard let resolved = realpath(path, nil) else { return nil }
        defer { free(resolved) }
        return String(cString: resolved)
    }

    private func isDirectory(_ path: String) -> Bool {
        var status = stat()
        return stat(path, &status) == 0 && status.st_mode & S_IFMT == S_IFDIR
    }
}
