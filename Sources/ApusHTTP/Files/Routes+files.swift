import ApusCore
import FoundationEssentials
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
    /// The path of a directory ends in a slash, so that relative links in its `index.html` lead into it (RFC 3986 §5.2.3).
    /// Without the slash, the response is 308 with the path with one. Every file has one path: with an additional slash, it is
    /// not found. Names that begin with a dot are not served, and symbolic links that lead out of the directory are not
    /// followed.
    ///
    /// ```swift
    /// routes.files("assets", from: "public", cacheControl: "public, max-age=31536000, immutable")
    /// ```
    /// - Parameters:
    ///   - path: The path prefix of the routes.
    ///   - folder: The path of the directory. It must exist: otherwise, the start is refused.
    public func files(
        _ path: String, from folder: String, cacheControl: String = "no-cache", file: String = #fileID,
        line: Int = #line
    ) {
        let count = fullPath(path).split(at: "/").count
        let directory = FileDirectory(folder, cacheControl: cacheControl)
        let handler: Handler = { request in
            let segments = Substring(request.path.utf8.dropFirst()).split(at: "/", omittingEmpty: false)
            return try await directory.respond(to: request, segments.dropFirst(count))
        }
        let routes = [path, path.isEmpty ? "**" : "\(path)/**"].map { pattern in
            add(.get, pattern, file: file, line: line, handler: handler).describe {
                FileResponse.describe(&$0)
                $0.isHidden = true
            }
        }
        guard !directory.exists, let first = routes.first else { return }
        let isAbsolute = folder.starts(withBytesOf: "/")
        let shown = isAbsolute ? folder : "\(FileManager.default.currentDirectoryPath)/\(folder)"
        change(first.index) { $0.problem = .missingFolder(shown, $0.site) }
    }
}

/// A directory whose files are served.
private struct FileDirectory: Sendable {
    private let path: String
    private let cacheControl: String

    init(_ path: String, cacheControl: String) {
        self.path = path
        self.cacheControl = cacheControl
    }

    /// Whether the directory exists. This call blocks.
    var exists: Bool { Self.isDirectory(path) }

    /// Responds to a request for a file or a subdirectory.
    /// - Parameter segments: The segments of the path below the directory, of which the last one is empty if the path ends in a
    ///   slash.
    func respond(to request: Request, _ segments: ArraySlice<Substring>) async throws -> Response {
        let endsInSlash = segments.last?.isEmpty ?? false
        let names = try (endsInSlash ? segments.dropLast() : segments).map(Self.name)
        let target = try await OpenFile.onPool { try resolve(names) }
        if target.isIndex, !endsInSlash {
            let query = request.rawQuery.map { String($0) }
            let location = PercentEncoding.encode(path: "\(request.path)/", query: query)
            return Response(
                status: .permanentRedirect, headers: [.location: location, .cacheControl: cacheControl])
        }
        guard target.isIndex == endsInSlash else { throw Self.notFound }
        return try await FileResponse(named: target.names.last ?? "", cacheControl: cacheControl) {
            // The resolved names are those of no symbolic links. Opening them one by one ensures that this is still so.
            try await .forReading(target.names, below: target.root)
        }.response(to: request)
    }

    /// A file that was found.
    private struct Target {
        /// The path of the directory.
        let root: String
        /// The names that lead from the directory to the file, without symbolic links.
        let names: [String]
        /// Whether it is the `index.html` of the requested directory.
        let isIndex: Bool
    }

    /// Resolves a file inside of the directory. This call blocks.
    private func resolve(_ names: [String]) throws -> Target {
        let path = ([path] + names).joined(separator: "/")
        guard let root = Self.realPath(self.path), let target = Self.realPath(path) else { throw Self.notFound }
        let isIndex = Self.isDirectory(target)
        let prefix = root == "/" ? root : "\(root)/"
        guard let resolved = Self.realPath(isIndex ? "\(target)/index.html" : target),
            resolved.starts(withBytesOf: prefix)
        else { throw Self.notFound }
        let found = Substring(resolved.utf8.dropFirst(prefix.utf8.count)).split(at: "/").map(String.init)
        return Target(root: root, names: found, isIndex: isIndex)
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

    private static func isDirectory(_ path: String) -> Bool {
        var status = stat()
        return stat(path, &status) == 0 && status.st_mode & S_IFMT == S_IFDIR
    }
}
