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
    /// Serves the files of a folder, and of those in it, as ``FileResponse``s; `index.html` where a folder is asked for.
    ///
    /// What begins with a dot is not there, and a symbolic link that leads out of the folder is not followed.
    ///
    /// ```swift
    /// routes.files("assets", from: "public", cacheControl: "public, max-age=31536000, immutable")
    /// ```
    /// - Parameters:
    ///   - path: Where they are served.
    ///   - folder: Where they are.
    public func files(
        _ path: String, from folder: String, cacheControl: String = "no-cache", file: String = #fileID,
        line: Int = #line
    ) {
        let count = fullPath(path).split(separator: "/").count
        let folder = FileFolder(folder)
        let answer: Handler = { request in
            let segments = request.path.split(at: "/").dropFirst(count)
            return try await folder.file(segments, cacheControl).response(to: request)
        }
        for pattern in [path, path.isEmpty ? "**" : "\(path)/**"] {
            add(.get, pattern, file: file, line: line, handler: answer).describe {
                FileResponse.describe(&$0)
                $0.isHidden = true
            }
        }
    }
}

/// A folder whose files anybody may read.
private struct FileFolder: Sendable {
    private let path: String

    init(_ path: String) { self.path = path }

    func file(_ segments: some Sequence<Substring>, _ cacheControl: String) async throws -> FileResponse {
        let names = try segments.map(Self.name)
        let file = try await OpenFile.onPool { try resolve(names) }
        return try await FileResponse(file, cacheControl: cacheControl)
    }

    /// Where a file really is. It blocks.
    private func resolve(_ names: [String]) throws -> String {
        let path = ([path] + names).joined(separator: "/")
        guard let root = Self.real(self.path), var target = Self.real(path) else { throw Self.notFound }
        if isFolder(target) { target += "/index.html" }
        guard let real = Self.real(target), real.starts(withBytesOf: root == "/" ? "/" : "\(root)/") else {
            throw Self.notFound
        }
        return real
    }

    private static var notFound: AppError { AppError(.notFound, "There is no such file.") }

    /// A name in a folder, and nothing else.
    private static func name(_ segment: Substring) throws -> String {
        guard let name = PercentEncoding.decode(segment), !name.isEmpty, !name.starts(withBytesOf: "."),
            !name.utf8.contains(where: { $0 == UInt8(ascii: "/") || $0 == 0 || $0 == UInt8(ascii: "\\") })
        else { throw notFound }
        return name
    }

    /// The path without symbolic links; `nil` if nothing is there.
    private static func real(_ path: String) -> String? {
        guard let resolved = realpath(path, nil) else { return nil }
        defer { free(resolved) }
        return String(cString: resolved)
    }

    private func isFolder(_ path: String) -> Bool {
        var status = stat()
        return stat(path, &status) == 0 && status.st_mode & S_IFMT == S_IFDIR
    }
}
