import ApusAuth
import ApusCore
import ApusHTTP
import ApusJSON
import ApusTesting
import Crypto
import CryptoExtras
import FoundationEssentials
import HTTPTypes
import Testing

private struct Member: TokenPrincipal {
    let subject: String
    init(claims: JWT.Claims) throws {
        guard claims.custom["role"] == "member" else { throw AppError(.permissionDenied, "Members only.") }
        subject = claims.subject
    }
}

@Suite struct JWTTests {
    private let clock = ManualClock()
    private let secret = Secret("0123456789abcdef0123456789abcdef")

    private func keys(_ key: JWT.Key? = nil, accepting: [JWT.Key] = [], audience: String = "api") throws -> JWT.KeySet {
        try JWT.KeySet(
            issuer: "apus", audience: audience, signing: key ?? .hs256(id: "a", secret: secret), accepting: accepting,
            clock: clock)
    }

    private func claims(_ lifetime: Double = 60) -> JWT.Claims {
        JWT.Claims(subject: "ada", expiresAt: clock.now.addingTimeInterval(lifetime), custom: ["role": "member"])
    }

    private func verificationError(_ keys: JWT.KeySet, _ token: String) async -> AppError? {
        do {
            _ = try await keys.verify(token)
            return nil
        } catch { return error as? AppError }
    }

    private func token(header: String, payload: String, signature: String = "") -> String {
        func encode(_ text: String) -> String {
            Data(text.utf8).base64EncodedString().map { $0 == "+" ? "-" : $0 == "/" ? "_" : $0 == "=" ? "" : "\($0)" }
                .joined()
        }
        return "\(encode(header)).\(encode(payload)).\(signature)"
    }

    @Test func `An HS256 token contains the signed claims`() async throws {
        let keys = try keys()
        let claims = try await keys.verify(try await keys.sign(claims()))
        #expect(claims.subject == "ada")
        #expect(claims.custom == ["role": "member"])
        #expect(claims.issuer == "apus")
    }

    @Test func `An Ed25519 token can be verified with only the public key`() async throws {
        let key = Curve25519.Signing.PrivateKey()
        let signing = try keys(.ed25519(id: "e", privatePEM: Secret(key.pemRepresentation)))
        let verifying = try JWT.KeySet(
            issuer: "apus", audience: "api", signing: .hs256(id: "h", secret: secret),
            accepting: [.ed25519(id: "e", publicPEM: key.publicKey.pemRepresentation)], clock: clock)
        #expect(try await verifying.verify(try await signing.sign(claims())).subject == "ada")
    }

    @Test func `A token expires at its expiration time plus the leeway`() async throws {
        let keys = try keys()
        let token = try await keys.sign(claims(60))
        clock.advance(by: .seconds(89))
        _ = try await keys.verify(token)
        clock.advance(by: .seconds(1))
        let error = await verificationError(keys, token)
        #expect(error?.code == .unauthenticated)
        #expect(error?.details.reason == .tokenExpired)
    }

    @Test func `A token is rejected before its notBefore time minus the leeway`() async throws {
        let keys = try keys()
        var early = claims(3600)
        early.notBefore = clock.now.addingTimeInterval(60)
        #expect(await verificationError(keys, try await keys.sign(early)) != nil)
        clock.advance(by: .seconds(30))
        #expect(await verificationError(keys, try await keys.sign(early)) == nil)
    }

    @Test func `A token for another audience or with another key is rejected`() async throws {
        let ours = try keys()
        let wrongAudience = try await keys(audience: "other").sign(claims())
        #expect(await verificationError(ours, wrongAudience)?.code == .unauthenticated)
        let other = JWT.Key.hs256(id: "a", secret: Secret(String(repeating: "x", count: 32)))
        #expect(await verificationError(ours, try await keys(other).sign(claims()))?.code == .unauthenticated)
        let unknown = JWT.Key.hs256(id: "zz", secret: secret)
        #expect(await verificationError(ours, try await keys(unknown).sign(claims()))?.code == .unauthenticated)
    }

    @Test func `A token that is altered at any character or truncated is rejected`() async throws {
        let keys = try keys()
        let token = try await keys.sign(claims())
        // The last character of the signature contains bits that base64 decoding ignores.
        for index in token.indices.dropLast() where token[index] != "." {
            var changed = token
            changed.replaceSubrange(index...index, with: token[index] == "A" ? "B" : "A")
            #expect(await verificationError(keys, changed)?.code == .unauthenticated)
        }
        for length in stride(from: 0, to: token.count, by: 7) {
            #expect(await verificationError(keys, String(token.prefix(length)))?.code == .unauthenticated)
        }
    }

    @Test(arguments: ["none", "HS384", "EdDSA", ""]) func `A token cannot choose its algorithm`(algorithm: String)
        async throws
    {
        let forged = token(
            header: "{\"alg\":\"\(algorithm)\",\"typ\":\"at+jwt\",\"kid\":\"a\"}",
            payload: #"{"sub":"ada","iss":"apus","aud":"api","exp":99999999999}"#)
        #expect(await verificationError(try keys(), forged)?.code == .unauthenticated)
    }

    /// Returns a token with the given header and payload and a valid signature.
    private func signed(_ header: String, _ payload: String) -> String {
        let text = token(header: header, payload: payload).dropLast()
        let key = SymmetricKey(data: Data(secret.reveal().utf8))
        let mac = HMAC<SHA256>.authenticationCode(for: Data(text.utf8), using: key)
        let signature = Data(mac).base64EncodedString().replacing(["+": "-", "/": "_", "=": ""])
        return "\(text).\(signature)"
    }

    private static let header = #"{"alg":"HS256","typ":"at+jwt","kid":"a"}"#
    private static let payload = #"{"sub":"ada","iss":"apus","aud":"api","exp":99999999999}"#

    @Test(arguments: [
        (#"{"alg":"HS256","typ":"at+jwt","kid":"a"}"#, true),
        (#"{"alg":"HS256","typ":"application/at+jwt","kid":"a"}"#, true),
        (#"{"alg":"HS256","typ":"AT+JWT","kid":"a"}"#, true),
        (#"{"alg":"HS256","typ":"application/jwt","kid":"a"}"#, false),
        (#"{"alg":"HS256","typ":"at+jwt","kid":"a","crit":["exp"],"exp":1}"#, false),
        (#"{"alg":"HS256","typ":"at+jwt","kid":"a","crit":["b64"],"b64":true}"#, false),
        (#"{"alg":"HS256","typ":"at+jwt","kid":"a","b64":true}"#, false),
        (#"{"alg":"HS256","typ":"at+jwt","kid":"a","crit":[]}"#, false),
        (#"{"alg":"HS256","typ":"at+jwt","kid":"a","crit":null}"#, false),
        (#"{"alg":"HS256","typ":"at+jwt","kid":"a","kid":"a"}"#, false), (#"{"alg":"HS256","kid":"a"}"#, false),
        (#"{"alg":"HS256","typ":"at+jwt"}"#, false), (#"{"alg":"HS256","typ":"at+jwt","kid":"a","x":"unknown"}"#, true),
    ])
    func `A header needs the access token type and no critical extensions`(header: String, isValid: Bool) async throws {
        let error = await verificationError(try keys(), signed(header, Self.payload))
        #expect((error == nil) == isValid, "\(header)")
    }

    @Test(arguments: [
        (#"{"sub":"ada","iss":"apus","aud":"api","exp":99999999999}"#, true),
        (#"{"sub":"ada","iss":"apus","aud":["api"],"exp":99999999999}"#, true),
        (#"{"sub":"ada","iss":"apus","aud":["other","api"],"exp":99999999999}"#, true),
        (#"{"sub":"ada","iss":"apus","aud":["other"],"exp":99999999999}"#, false),
        (#"{"sub":"ada","iss":"apus","aud":[],"exp":99999999999}"#, false),
        (#"{"sub":"ada","iss":"apus","aud":[1],"exp":99999999999}"#, false),
        (#"{"sub":"ada","iss":"apus","exp":99999999999}"#, false),
        (#"{"sub":"ada","iss":"apus","aud":"api"}"#, false),
        (#"{"sub":"ada","sub":"eve","iss":"apus","aud":"api","exp":99999999999}"#, false),
        (
            "{\"sub\":\"ada\",\"iss\":\"apus\",\"aud\":\"api\",\"exp\":99999999999,\"\u{E9}\":\"x\",\"e\u{301}\":\"y\"}",
            true
        ),
        ("{\"sub\":\"ada\",\"iss\":\"apus\",\"aud\":\"ap\u{131}\",\"exp\":99999999999}", false),
    ])
    func `A token has one or more audiences and no duplicate claims`(payload: String, isValid: Bool) async throws {
        let error = await verificationError(try keys(), signed(Self.header, payload))
        #expect((error == nil) == isValid, "\(payload)")
    }

    @Test func `Custom claims of any type are kept`() async throws {
        let keys = try keys()
        let payload = #"{"sub":"ada","iss":"apus","aud":"api","exp":99999999999,"n":7,"roles":["a"],"o":{"x":null}}"#
        let expected: JSON.Value = ["n": 7, "roles": ["a"], "o": ["x": .null]]
        let claims = try await keys.verify(signed(Self.header, payload))
        #expect(claims.custom == expected)
        let again = try await keys.verify(try await keys.sign(claims))
        #expect(again.custom == expected)
    }

    @Test(arguments: [Double.nan, .infinity, -.infinity, 1e300])
    func `Claims with a time that is not a number of seconds are not signed`(seconds: Double) async throws {
        let keys = try keys()
        let time = Date(timeIntervalSince1970: seconds)
        let endless = JWT.Claims(subject: "ada", expiresAt: time)
        await #expect(throws: (any Error).self) { try await keys.sign(endless) }
        var early = claims()
        early.notBefore = time
        let unborn = early
        await #expect(throws: (any Error).self) { try await keys.sign(unborn) }
    }

    @Test func `Two keys with the same ID are rejected, and the error contains the ID`() throws {
        let retired = JWT.Key.hs256(id: "a", secret: Secret(String(repeating: "r", count: 32)))
        let error = #expect(throws: AppError.self) { try keys(accepting: [retired]) }
        #expect(error?.message.contains("\"a\"") == true)
        _ = try keys(.hs256(id: "\u{E9}", secret: secret), accepting: [.hs256(id: "e\u{301}", secret: secret)])
    }

    @Test func `A token of another type is rejected`() async throws {
        let forged = token(header: #"{"alg":"HS256","typ":"JWT","kid":"a"}"#, payload: #"{"sub":"ada"}"#)
        #expect(await verificationError(try keys(), forged)?.code == .unauthenticated)
    }

    @Test(arguments: ["", ".", "..", "a.b.c", "é.é.é", String(repeating: "a", count: 100_000)])
    func `Text that is not a token is rejected`(text: String) async throws {
        #expect(await verificationError(try keys(), text)?.code == .unauthenticated)
    }

    @Test func `A token has one spelling only`() async throws {
        let keys = try keys()
        let token = signed(Self.header, Self.payload)
        #expect(await verificationError(keys, token) == nil)
        // The last of the 43 digits of a signature has two unused bits.
        let digits = Array("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_")
        let last = try #require(token.last.flatMap { digits.firstIndex(of: $0) })
        let variant = token.dropLast() + String(digits[last + 1])
        for other in [token + "=", String(variant), token + ".", token + "\n"] {
            #expect(await verificationError(keys, other)?.code == .unauthenticated, "\(other)")
        }
    }

    @Test func `The principal stays for as long as its token is accepted, with the tolerance of clocks`() async throws {
        let clock = ManualClock()
        let keys = try JWT.KeySet(
            issuer: "apus", audience: "api", signing: .hs256(id: "a", secret: secret), leeway: .seconds(30),
            clock: clock)
        let token = try await keys.sign(JWT.Claims(subject: "ada", expiresAt: clock.now.addingTimeInterval(10)))
        clock.advance(by: .seconds(35))
        let request = Request(method: .get, target: "/", headers: [.authorization: "Bearer \(token)"])
        _ = await chain([BearerAuthentication(keys, clock: clock)]) { _ in Response(status: .ok) }(request)
        let left = try #require(request.context.principalExpiresIn)
        #expect(abs(left.seconds - 5) < 1e-3)
    }

    @Test func `A key set with a key that is too short or malformed cannot be created`() {
        #expect(throws: AppError.self) { try keys(.hs256(id: "a", secret: Secret("short"))) }
        #expect(throws: AppError.self) { try keys(.ed25519(id: "a", privatePEM: Secret("no PEM"))) }
        #expect(throws: AppError.self) { try keys(.ed25519(id: "a", publicPEM: "no PEM")) }
    }

    @Test func `Without a valid token an authenticated endpoint is 401, for another kind of principal 403`()
        async throws
    {
        let keys = try keys()
        let routes = Routes()
        routes.get("public") { "anyone" }
        routes.group("members", Authenticated(Member.self)) { $0.get("") { member in member.subject } }
        let router = try Router(routes)
        func response(_ path: String, _ headers: HTTPFields) async -> Response {
            await chain([BearerAuthentication(keys)]) { await router.respond(to: $0) }(
                Request(method: .get, target: path, headers: RequestHeaders(headers)))
        }
        let valid = try await keys.sign(claims())
        var other = claims()
        other.custom = ["role": "guest"]
        let guest = try await keys.sign(other)

        let missing = await response("/members", [:])
        #expect(missing.status == .unauthorized)
        #expect(missing.headers[.wwwAuthenticate] == "Bearer")
        let invalid = await response("/members", [.authorization: "Bearer x.y.z"])
        #expect(invalid.status == .unauthorized)
        #expect(invalid.headers[.wwwAuthenticate] == "Bearer error=\"invalid_token\"")
        #expect(await response("/members", [.authorization: "Bearer \(guest)"]).status == .forbidden)
        #expect(await response("/members", [.authorization: "bearer \(valid)"]).status == .ok)
        #expect(await response("/members", [.secWebSocketProtocol: "chat, bearer.\(valid)"]).status == .ok)
        #expect(await response("/members", [.authorization: "Basic \(valid)"]).status == .unauthorized)
        #expect(await response("/public", [.authorization: "Bearer x.y.z"]).status == .ok)
    }
}
