public import ApusCore
import HTTPTypes

/// Uses what trusted proxies report about the client: its address, whether it used TLS, and the host that it requested.
///
/// Only proxies in the given networks are trusted, and each only for the peer from which it received the request: the
/// list of addresses is read from its end, as far as it was written by trusted proxies. Entries that a client adds at
/// the beginning are ignored.
public struct TrustedProxies: Middleware {
    /// The fields that the proxies write. Only these are read, because proxies pass other fields on as the client sent
    /// them.
    public enum Fields: String, Sendable, CaseIterable {
        /// `Forwarded` (RFC 7239).
        case forwarded
        /// `X-Forwarded-For`, `X-Forwarded-Proto`, `X-Forwarded-Host`.
        case xForwarded = "x-forwarded"
    }

    private let networks: [IPNetwork]
    private let fields: Fields
    private let trustsHost: Bool
    /// The maximum number of hops that are evaluated.
    private static let maximumHops = 32

    /// Creates the middleware.
    /// - Parameters:
    ///   - networks: The networks of the trusted proxies.
    ///   - fields: The fields that the proxies write.
    ///   - trustsHost: Whether the proxies also write the host. By default, it is not read, because many proxies pass
    ///     on the host that the client sent.
    public init(_ networks: [IPNetwork], fields: Fields = .xForwarded, trustsHost: Bool = false) {
        self.networks = networks
        self.fields = fields
        self.trustsHost = trustsHost
    }

    public func handle(_ request: Request, next: Next) async -> Response {
        // A peer without an address is connected through a Unix socket, so it is on this machine.
        guard request.remoteAddress.map({ IPAddress($0).map(isTrusted) ?? false }) ?? true else {
            return await next(request)
        }
        var request = request
        for hop in hops(of: request).reversed() {
            if let isSecure = hop.isSecure { request.isSecure = isSecure }
            if trustsHost, let host = hop.host { request.authority = host }
            // An unknown or obfuscated address ends the evaluation, and the last known address is used.
            guard let address = hop.address else { break }
            request.remoteAddress = address.description
            guard isTrusted(address) else { break }
        }
        return await next(request)
    }

    private func isTrusted(_ address: IPAddress) -> Bool { networks.contains { $0.contains(address) } }

    /// The report of one proxy: the peer from which it received the request, the scheme and the host.
    package struct Hop: Equatable {
        var address: IPAddress?
        var isSecure: Bool?
        var host: String?
    }

    private func hops(of request: Request) -> [Hop] {
        switch fields {
        case .forwarded: Self.forwarded(request.headers[.forwarded] ?? "")
        case .xForwarded:
            Self.xForwarded(
                request.headers[.xForwardedFor] ?? "", request.headers[.xForwardedProto] ?? "",
                request.headers[.xForwardedHost] ?? "")
        }
    }

    /// Parses a `Forwarded` field: `for=192.0.2.60;proto=https;host=example.org, for="[2001:db8::1]:8080"`.
    package static func forwarded(_ field: String) -> [Hop] {
        FieldList.elements(field).suffix(maximumHops).map { element in
            guard let parameters = FieldParameters.parse(";" + element) else { return Hop() }
            return Hop(
                address: parameters["for"].flatMap(address),
                isSecure: parameters["proto"].map { $0.asciiLowercased == "https" },
                host: parameters["host"].flatMap(host))
        }
    }

    /// Combines the three lists, aligned at their ends. A list of schemes or hosts with a single element applies to all
    /// hops.
    package static func xForwarded(_ addresses: String, _ schemes: String, _ hosts: String) -> [Hop] {
        let schemes = elements(schemes), hosts = elements(hosts)
        guard !elements(addresses).isEmpty else {
            // The proxy reports the scheme and the host, but not the peer.
            return [
                Hop(
                    isSecure: schemes.last.map { $0.asciiLowercased == "https" },
                    host: hosts.last.flatMap { host(String($0)) })
            ]
        }
        return elements(addresses).suffix(maximumHops).reversed().enumerated().map { index, text in
            func at(_ list: [Substring]) -> Substring? {
                list.count == 1 ? list[0] : index < list.count ? list[list.count - 1 - index] : nil
            }
            return Hop(
                address: address(String(text)), isSecure: at(schemes).map { $0.asciiLowercased == "https" },
                host: at(hosts).map(String.init).flatMap(host))
        }.reversed()
    }

    /// Splits a list of tokens, which has no quoted strings.
    private static func elements(_ field: String) -> [Substring] {
        field.split(at: ",").map(\.trimmed).filter { !$0.isEmpty }
    }

    /// Parses an address with or without brackets and port; `nil` for `unknown` and for obfuscated addresses.
    private static func address(_ text: String) -> IPAddress? {
        if let address = IPAddress(text) { return address }
        if text.starts(withBytesOf: "["), let (address, rest) = Substring(text.utf8.dropFirst()).cut(at: "]") {
            return rest.isEmpty || isPort(rest) ? IPAddress(String(address)) : nil
        }
        guard let (address, port) = text.cut(at: ":"), isPort(":" + port) else { return nil }
        return IPAddress(String(address))
    }

    /// Returns whether the text is a colon followed by a port or an obfuscated port (RFC 7239 §6.3).
    private static func isPort(_ text: Substring) -> Bool {
        text.starts(withBytesOf: ":")
            && text.utf8.dropFirst().allSatisfy { byte in
                switch byte {
                case UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "a")...UInt8(ascii: "z"),
                    UInt8(ascii: "A")...UInt8(ascii: "Z"), UInt8(ascii: "."), UInt8(ascii: "_"), UInt8(ascii: "-"):
                    true
                default: false
                }
            }
    }

    /// Returns the host, with or without a port, or `nil` if it contains characters that are not allowed in a host.
    private static func host(_ text: String) -> String? {
        let isHost =
            !text.isEmpty && text.utf8.count <= 255
            && text.unicodeScalars.allSatisfy {
                $0.isASCII && ($0.properties.isAlphabetic || "0123456789.-:[]_".unicodeScalars.contains($0))
            }
        return isHost ? text : nil
    }
}

extension HTTPField.Name {
    fileprivate static let forwarded = HTTPField.Name("Forwarded")!
    fileprivate static let xForwardedFor = HTTPField.Name("X-Forwarded-For")!
    fileprivate static let xForwardedProto = HTTPField.Name("X-Forwarded-Proto")!
    fileprivate static let xForwardedHost = HTTPField.Name("X-Forwarded-Host")!
}
