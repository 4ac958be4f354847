package tokens

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/des"
	"crypto/pbkdf2"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/sha512"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"errors"
	"fmt"
	"hash"

	"golang.org/x/crypto/scrypt"
)

// An encrypted private key as RFC 5958 §3 has it, by PBES2 (RFC 8018 §6.2): what openssl writes. The schemes before
// PBES2 are refused; openssl turns them into it.

const (
	reEncrypt = "write it anew: openssl pkcs8 -topk8 -in OLD.pem -out NEW.pem (the new file is encrypted too; let only the relay's user read it)"

	maxIterations = 10_000_000 // of PBKDF2: seconds, not hours
	maxScrypt     = 512 << 20  // octets of memory
)

var (
	errKeyPassword = errors.New("certificate_password is not the password of its private key")
	errNoPassword  = errors.New("its private key is encrypted; set certificate_password")
	errBrokenKey   = errors.New("its private key is damaged, or only a part of one: copy the file anew, from -----BEGIN to the end of its last line")
)

type encryptedKey struct {
	Algorithm pkix.AlgorithmIdentifier
	Data      []byte
}

type pbes2 struct {
	KDF, Cipher pkix.AlgorithmIdentifier
}

type pbkdf2Params struct {
	Salt       []byte
	Iterations int
	KeyLength  int                      `asn1:"optional"`
	PRF        pkix.AlgorithmIdentifier `asn1:"optional"`
}

// scryptParams are those of RFC 7914 §7.1.
type scryptParams struct {
	Salt      []byte
	N, R, P   int
	KeyLength int `asn1:"optional"`
}

var (
	oidPBES2   = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 5, 13}
	oidPBKDF2  = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 5, 12}
	oidScrypt  = asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 11591, 4, 11}
	oidRSAPSS  = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 1, 10}
	oidSHA1PRF = asn1.ObjectIdentifier{1, 2, 840, 113549, 2, 7} // RFC 8018 §A.2: where none is named
)

var prfs = map[string]func() hash.Hash{
	oidSHA1PRF.String():   sha1.New,
	"1.2.840.113549.2.8":  sha256.New224,
	"1.2.840.113549.2.9":  sha256.New,
	"1.2.840.113549.2.10": sha512.New384,
	"1.2.840.113549.2.11": sha512.New,
}

var ciphers = map[string]struct {
	length int // of the key
	block  func(key []byte) (cipher.Block, error)
}{
	"2.16.840.1.101.3.4.1.2":  {16, aes.NewCipher},
	"2.16.840.1.101.3.4.1.22": {24, aes.NewCipher},
	"2.16.840.1.101.3.4.1.42": {32, aes.NewCipher},
	"1.2.840.113549.3.7":      {24, des.NewTripleDESCipher},
}

// decryptPKCS8 returns the private key of an ENCRYPTED PRIVATE KEY block.
func decryptPKCS8(der []byte, password string) (any, error) {
	var sealed encryptedKey
	var scheme pbes2
	if parseAll(der, &sealed) != nil {
		return nil, errBrokenKey
	}
	if !sealed.Algorithm.Algorithm.Equal(oidPBES2) {
		return nil, unsupported(sealed.Algorithm)
	}
	if parseAll(sealed.Algorithm.Parameters.FullBytes, &scheme) != nil {
		return nil, errBrokenKey
	}
	c, known := ciphers[scheme.Cipher.Algorithm.String()]
	if !known {
		return nil, unsupported(scheme.Cipher)
	}
	if password == "" {
		return nil, errNoPassword
	}
	secret, err := deriveKey(scheme.KDF, password, c.length)
	if err != nil {
		return nil, err
	}
	block, err := c.block(secret)
	if err != nil {
		return nil, err
	}
	plain, err := decryptCBC(block, scheme.Cipher.Parameters.FullBytes, sealed.Data)
	if err != nil {
		return nil, err
	}
	var shape asn1.RawValue
	if parseAll(plain, &shape) != nil { // one wrong password in 256 leaves a padding that looks right
		return nil, errKeyPassword
	}
	return parsePKCS8(plain)
}

// deriveKey makes the key of a password.
func deriveKey(kdf pkix.AlgorithmIdentifier, password string, length int) ([]byte, error) {
	switch {
	case kdf.Algorithm.Equal(oidPBKDF2):
		var p pbkdf2Params
		if parseAll(kdf.Parameters.FullBytes, &p) != nil || p.Iterations < 1 || p.Iterations > maxIterations {
			return nil, unsupported(kdf)
		}
		if p.PRF.Algorithm == nil {
			p.PRF.Algorithm = oidSHA1PRF
		}
		prf := prfs[p.PRF.Algorithm.String()]
		if prf == nil {
			return nil, unsupported(p.PRF)
		}
		return pbkdf2.Key(prf, password, p.Salt, p.Iterations, length)
	case kdf.Algorithm.Equal(oidScrypt):
		var p scryptParams
		if parseAll(kdf.Parameters.FullBytes, &p) != nil || p.N < 2 || p.R < 1 || p.P < 1 || p.P > 16 || p.N > maxScrypt/128/p.R {
			return nil, unsupported(kdf)
		}
		key, err := scrypt.Key([]byte(password), p.Salt, p.N, p.R, p.P, length)
		if err != nil {
			return nil, unsupported(kdf)
		}
		return key, nil
	}
	return nil, unsupported(kdf)
}

// decryptCBC takes the padding of RFC 8018 §6.1.1 off. A wrong password is found out by it.
func decryptCBC(block cipher.Block, params, data []byte) ([]byte, error) {
	var iv []byte
	size := block.BlockSize()
	if parseAll(params, &iv) != nil || len(iv) != size || len(data) == 0 || len(data)%size != 0 {
		return nil, errBrokenKey
	}
	plain := make([]byte, len(data))
	cipher.NewCBCDecrypter(block, iv).CryptBlocks(plain, data)
	pad := int(plain[len(plain)-1])
	if pad == 0 || pad > size || !bytes.Equal(plain[len(plain)-pad:], bytes.Repeat([]byte{byte(pad)}, pad)) {
		return nil, errKeyPassword
	}
	return plain[:len(plain)-pad], nil
}

// parsePKCS8 is x509.ParsePKCS8PrivateKey in words.
func parsePKCS8(der []byte) (any, error) {
	key, err := x509.ParsePKCS8PrivateKey(der)
	if err == nil {
		return key, nil
	}
	var inside struct {
		Version   int
		Algorithm pkix.AlgorithmIdentifier
		Rest      asn1.RawValue
		Optional  []asn1.RawValue `asn1:"optional,tag:0"`
	}
	switch _, wrong := asn1.Unmarshal(der, &inside); {
	case wrong != nil:
		return nil, errBrokenKey
	case inside.Algorithm.Algorithm.Equal(oidRSAPSS):
		return nil, errors.New("its key may be used for RSA-PSS only (id-RSASSA-PSS), which is not supported; " + needsRSA)
	case len(inside.Algorithm.Algorithm) > 0 && !inside.Algorithm.Algorithm.Equal(oidRSA):
		return nil, fmt.Errorf("its key is of an unknown kind (algorithm %v); %s", inside.Algorithm.Algorithm, needsRSA)
	}
	return nil, errBrokenKey
}

var oidRSA = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 1, 1}

// unsupported is an encryption that is not known here, or that would take for ever.
func unsupported(by pkix.AlgorithmIdentifier) error {
	return fmt.Errorf("its private key is encrypted in a way that is not supported (algorithm %v); %s", by.Algorithm, reEncrypt)
}

// parseAll reads DER to its end.
func parseAll(der []byte, into any) error {
	rest, err := asn1.Unmarshal(der, into)
	if err == nil && len(rest) > 0 {
		return errBrokenKey
	}
	return err
}
