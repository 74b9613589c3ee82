package import ApusCore

/// The key of a cached value, and the groups by which it can be removed together with others.
///
/// ```swift
/// let key = CacheKey("users:\(id):orders", tags: ["tenant:\(tenant)"])
/// ```
///
/// A key belongs to the groups of its prefixes up to each colon: the key above to `users:` and `users:42:`. Tags are
/// groups that the name does not show. A key must be used with the same tags each time: with others, its value is not found.
public struct CacheKey: Sendable, Hashable, ExpressibleByStringInterpolation {
    /// The name, compared byte by byte.
    public let name: String
    /// The tags, sorted by their bytes and without repetitions.
    public let tags: [String]

    /// The maximum number of prefixes that are groups.
    private static let maximumPrefixes = 8

    /// Creates a key.
    /// - Parameters:
    ///   - name: The name. Only the first eight prefixes are groups.
    ///   - tags: The tags. Each one makes looking up the key a little slower.
    public init(_ name: String, tags: [String] = []) {
        self.name = name
        self.tags = tags.count < 2 ? tags : Self.sorted(tags)
    }

    private static func sorted(_ tags: [String]) -> [String] {
        Set(tags.map(ExactString.init)).map(\.text).sorted { $0.utf8.lexicographicallyPrecedes($1.utf8) }
    }

    public init(stringLiteral value: String) { self.init(value) }

    /// The groups of the key: all keys, each prefix and each tag.
    package var groups: [CacheGroup] {
        [.all] + Self.prefixes(of: name) + tags.map { .tag(ExactString($0)) }
    }

    private static func prefixes(of name: String) -> [CacheGroup] {
        var groups: [CacheGroup] = []
        for index in name.utf8.indices where name.utf8[index] == UInt8(ascii: ":") {
            groups.append(.prefix(ExactString(String(name[...index]))))
            if groups.count == maximumPrefixes { break }
        }
        return groups
    }

    public static func == (left: CacheKey, right: CacheKey) -> Bool {
        left.name.isExactly(right.name)
            && left.tags.elementsEqual(right.tags, by: { (tag: String, other: String) in tag.isExactly(other) })
    }
}

/// Keys that are removed together, at a cost that does not depend on their number: each stored value remembers the
/// generation of its groups, and is void once one of them has another.
package enum CacheGroup: Sendable, Hashable {
    case all
    case prefix(ExactString)
    case tag(ExactString)

    /// The group of all keys that begin with a prefix, which ends with a colon.
    package static func keys(withPrefix prefix: String) -> CacheGroup {
        let complete = prefix.ends(withBytesOf: ":") || prefix.isEmpty ? prefix : prefix + ":"
        // Beyond the maximum depth, the deepest group that contains the prefix.
        return CacheKey(complete).groups.last ?? .all
    }

    /// A name that no other group has.
    package var name: String {
        switch self {
        case .all: "a"
        case .prefix(let prefix): "p" + prefix.text
        case .tag(let tag): "t" + tag.text
        }
    }
}
