import Apus
import ApusTesting
import Testing

@testable import DeliveryTracker

@Suite struct PaymentSignatureTests {
    private let clock = ManualClock()
    private let body = Array("{\"id\":\"evt_1\"}".utf8)

    private var signature: PaymentSignature { PaymentSignature(secret: Secret("whsec_test"), clock: clock) }

    @Test func `A body is accepted if one of several signatures matches`() throws {
        let header = signature.sign(body)
        #expect(try signature.verify(header, body: body) == clock.now)
        let other = String(repeating: "0", count: 64)
        #expect(try signature.verify(header + ",v1=\(other),v0=x", body: body) == clock.now)
    }

    @Test func `A signature computed by another implementation is accepted`() throws {
        // HMAC-SHA256 of "1767225600.{}" keyed with "whsec_test", computed with Python's hmac module.
        let header = "t=1767225600,v1=\(PaymentSignatureTests.vector)"
        #expect(try signature.verify(header, body: Array("{}".utf8)) == clock.now)
    }

    private static let vector = "4a942ef9477fb7b15b98664cf7ff2c2543984c1fa6bdf3520b48dcb25bcd1fe4"

    @Test(arguments: [
        "", "t=1767225600", "v1=<1>,t=1767225600", "t=+1767225600,v1=<1>", "t=1767225600,t=1767225600,v1=<1>",
        "t=1767225600,,v1=<1>", "t=1767225600,v1=<1>,", "t=1767225600,v1=<A>", "t=1767225600,v1=<1>\u{301}",
        "t=１７６７２２５６００,v1=<1>", "t=1767225600,v1=<1>,x=1", "t=1767225600, v1=<1>",
    ]) func `A header that does not match the published pattern is rejected`(header: String) {
        let header = header.replacing("<1>", with: Self.vector).replacing("<A>", with: Self.vector.uppercased())
        #expect(throws: AppError.self) { try signature.verify(header, body: Array("{}".utf8)) }
    }

    @Test func `A modified body, a modified timestamp and another secret are rejected`() {
        let header = signature.sign(body)
        let other = PaymentSignature(secret: Secret("whsec_other"), clock: clock)
        #expect(throws: AppError.self) { try signature.verify(header, body: body + [0x20]) }
        #expect(throws: AppError.self) { try signature.verify(header.replacing("t=1", with: "t=2"), body: body) }
        #expect(throws: AppError.self) { try other.verify(header, body: body) }
    }

    @Test func `A signature is accepted for five minutes`() throws {
        let header = signature.sign(body)
        clock.advance(by: .seconds(300))
        _ = try signature.verify(header, body: body)
        clock.advance(by: .seconds(1))
        #expect(throws: AppError.self) { try signature.verify(header, body: body) }
    }

    @Test(arguments: [
        nil, "", "t=,v1=", "v1=00", "t=1767225600", "t=1767225600,v1=", "t=1767225600,v1=zz", "t=x,v1=00",
        "t=99999999999999999999,v1=00", ",,,===,,",
    ]) func `A missing or malformed header is rejected`(header: String?) {
        #expect(throws: AppError.self) { try signature.verify(header, body: body) }
    }
}
