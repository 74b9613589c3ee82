import ApusCore

/// The fields of a form as a tree: `address[city]=x` is a field of a field, `tags[]=a&tags[]=b` and `tags=a&tags=b` are lists,
/// and so is `items[0][name]=a&items[1][name]=b`.
package struct FormFields: Sendable {
    /// What a field is.
    enum Value: Sendable {
        case text(String)
        case file(UploadedFile)
    }

    /// One field, and those that its name is the beginning of.
    struct Node: Sendable {
        var values: [Value] = []
        var names: [String] = []
        var children: [String: Node] = [:]

        mutating func insert(_ value: Value, _ path: ArraySlice<String>) {
            guard let name = path.first else {
                values.append(value)
                return
            }
            if children[name] == nil { names.append(name) }
            children[name, default: Node()].insert(value, path.dropFirst())
        }

        /// The elements, if this is read as a list.
        var elements: [Node] {
            if let child = children[""] { return values.map(Node.init) + child.values.map(Node.init) }
            let numbered = names.compactMap { name in Int(name).map { ($0, name) } }.sorted { $0.0 < $1.0 }
            if !numbered.isEmpty { return numbered.compactMap { children[$0.1] } }
            return values.map(Node.init)
        }

        init() {}
        private init(_ value: Value) { values = [value] }
    }

    static let maximumCount = 1000
    static let maximumDepth = 8

    private(set) var root = Node()
    private var count = 0

    init() {}

    /// Reads `application/x-www-form-urlencoded` (the URL standard, §5.1), strictly: a `%` has two digits after it.
    package init(urlEncoded text: String) throws {
        for pair in text.split(separator: "&") {
            let parts = pair.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
            guard let name = PercentEncoding.decode(parts[0], plusIsSpace: true),
                let value = PercentEncoding.decode(parts.count > 1 ? parts[1] : "", plusIsSpace: true)
            else { throw AppError(.invalidArgument, "The form is not valid percent-encoded UTF-8.") }
            try add(name, .text(value))
        }
    }

    mutating func add(_ name: String, _ value: Value) throws {
        count += 1
        guard count <= Self.maximumCount else {
            throw AppError(
                .outOfRange, "The form has more than the \(Self.maximumCount) fields allowed.", reason: .bodyTooLarge)
        }
        let path = Self.path(name)
        guard path.count <= Self.maximumDepth else {
            throw AppError(
                .invalidArgument, "The field \"\(name.prefix(64))\" is nested deeper than \(Self.maximumDepth) levels.")
        }
        root.insert(value, path[...])
    }

    /// `a[b][]` as `a`, `b` and an empty name. A name whose brackets do not pair is taken as it is.
    static func path(_ name: String) -> [String] {
        guard let bracket = name.firstIndex(of: "["), bracket > name.startIndex, name.last == "]" else { return [name] }
        var path = [String(name[..<bracket])]
        var rest = name[bracket...]
        while !rest.isEmpty {
            guard rest.first == "[", let end = rest.firstIndex(of: "]") else { return [name] }
            let part = rest[rest.index(after: rest.startIndex)..<end]
            guard !part.contains("[") else { return [name] }
            path.append(String(part))
            rest = rest[rest.index(after: end)...]
        }
        return path
    }
}
